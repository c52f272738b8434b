"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const falls = head.getAttribute("aria-sort") !== "descending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const way = column === 0 ? x.localeCompare(y) : Number(x) - Number(y);
      return falls ? -way : way;
    });
    table.tBodies[0].append(...rows);
  }));
}
for (const cutout of document.querySelectorAll(".cutout")) {
  const stage = cutout.querySelector(".stage");
  const slider = stage.querySelector("input");
  const images = [...cutout.querySelectorAll(".strip img")];
  for (const side of ["left", "right"]) {
    const select = cutout.querySelector(`select.${side}`);
    const show = () => {
      stage.querySelector(`.side.${side}`).style.backgroundImage = `url("${images[select.selectedIndex].src}")`;
    };
    select.addEventListener("change", show);
    show();
  }
  slider.addEventListener("input", () => stage.style.setProperty("--cut", `${slider.value}%`));
  images.forEach((image, index) => image.addEventListener("click", () => {
    const select = cutout.querySelector("select.right");
    select.selectedIndex = index;
    select.dispatchEvent(new Event("change"));
  }));
}
