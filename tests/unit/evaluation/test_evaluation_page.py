"""The reports: what the page and the tables hold, and the page at work in a real browser where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vsr.core.errors import OutputError, OutputExists
from vsr.evaluation.curves import ticks
from vsr.evaluation.page import check_output, page, write_reports
from vsr.evaluation.results import ClipResult, Cutout, Evaluation, ModelResult, SetResult
from vsr.evaluation.tables import markdown

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PNG = b"\x89PNG\r\n\x1a\n"


def model(label: str, psnr: float, parameters: int = 0) -> ModelResult:
    frames = tuple({"psnr_y": psnr + step, "temporal_error": 3.0 + step} for step in range(4))
    clip = ClipResult(name="clip.mp4", figures=frames[0], frames=frames)
    return ModelResult(
        label=label,
        reference=label,
        card=label,
        steps=(2,),
        parameters=parameters,
        figures={"psnr_y": psnr, "detail": psnr / 40},
        ms_per_megapixel=12.0,
        clips=(clip,),
    )


@pytest.fixture
def evaluation() -> Evaluation:
    models = (model("bicubic", 28.0), model("<b>net|</b>", 31.5, 24752), model("other", 30.0, 7))
    cutout = Cutout(
        clip="clip.mp4", frame=1, left=0, top=0, side=8, pictures={"HR": PNG, **{m.label: PNG for m in models}}
    )
    found = SetResult(
        name="set", source="set", lr="bicubic", clips=1, frames=4, has_video=True, models=models, cutouts=(cutout,)
    )
    return Evaluation(scale=2, protocol="said.", machine="cpu", version="0", sets=(found,), warnings=("look out",))


def test_the_page_needs_nothing_from_elsewhere(evaluation: Evaluation) -> None:
    text = page(evaluation)
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", text) == []
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text


def test_names_from_files_are_text_and_not_markup(evaluation: Evaluation) -> None:
    text = page(evaluation)
    assert "<b>net" not in text
    assert html.escape("<b>net|</b>") in text
    assert r"\<b\>net\|\</b\>" in markdown(evaluation)


def test_tables_mark_the_best_figure_of_each_column(evaluation: Evaluation) -> None:
    text = markdown(evaluation)
    assert "**31.500**" in text
    assert "**28.000**" not in text
    assert "Warning: look out" in text
    assert 'class="best" data-value="31.5"' in page(evaluation)


def test_a_curve_is_drawn_for_each_model_and_metric_of_a_video(evaluation: Evaluation) -> None:
    assert page(evaluation).count("<polyline") == 3 * 2


@pytest.mark.parametrize(("low", "high"), [(27.3, 29.6), (0, 0), (0.81, 0.9), (-3, 250), (5, 5)])
def test_ticks_are_round_and_span_the_values(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 2 <= len(marks) <= 7
    assert marks[0] <= low
    assert marks[-1] >= high


def test_reports_are_not_replaced_unless_asked_for(evaluation: Evaluation, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    check_output(folder, overwrite=False)
    write_reports(evaluation, folder, overwrite=False)
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "report.md"]
    read = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert read["sets"][0]["models"][1]["figures"]["psnr_y"] == 31.5
    with pytest.raises(OutputExists, match=r"report\.md exists"):
        check_output(folder, overwrite=False)
    check_output(folder, overwrite=True)
    with pytest.raises(OutputError, match="is a file"):
        check_output(folder / "report.md", overwrite=True)


_DRIVE = """<script>
const input = document.querySelector(".stage input");
input.value = 20;
input.dispatchEvent(new Event("input"));
document.querySelectorAll("th button")[1].click();
document.querySelector("select.left").selectedIndex = 0;
document.querySelector("select.left").dispatchEvent(new Event("change"));
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_slider_choice_and_sorting_work_in_a_browser(evaluation: Evaluation, tmp_path: Path) -> None:
    assert BROWSER is not None
    path = tmp_path / "page.html"
    path.write_text(page(evaluation).replace("</body>", _DRIVE + "</body>"), encoding="utf-8")
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    ended = subprocess.run(
        [*words, "--dump-dom", path.as_uri()], capture_output=True, text=True, check=True, timeout=60
    )
    dom = ended.stdout
    assert "--cut: 20%" in dom  # the slider moved
    sides = re.findall(r'class="side (\w+)" style="background-image: url\(&quot;data:image/png', dom)
    assert sorted(sides) == ["left", "right"]
    order = re.findall(r'<tr><td data-value="([^"]+)"', dom)
    assert [html.unescape(label) for label in order] == ["<b>net|</b>", "other", "bicubic"]  # falling PSNR
    assert 'aria-sort="descending"' in dom
