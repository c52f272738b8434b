from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsr.core.card import ModelCard, Score
from vsr.core.errors import ModelError
from vsr.engines import registry
from vsr.engines.cards import _card, dump, read_card

MINIMAL = 'id = "a"\nfamily = "a"\narch = "espcn"\ndomain = "y"\n'
# TOML files hold neither lone surrogates nor, unescaped, control characters
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.toml"
    path.write_text(text, encoding="utf-8")
    return path


@given(text=TEXT, halo=st.integers(0, 500), value=st.floats(0, 99), scale=st.none() | st.integers(1, 16))
def test_a_dumped_card_reads_back_the_same(text: str, halo: int, value: float, scale: int | None) -> None:
    import tomllib

    card = ModelCard(
        id="x",
        family=text,
        arch="a",
        scale=scale,
        domain="rgb",
        frames=3,
        alignment="grid",
        halo=halo,
        tiling="blend",
        dtypes=("fp32", "bf16"),
        digest="0" * 64,
        description=text,
        scores=(Score(test_set="set5", metric="psnr_y", value=value, bicubic=28.42),),
    )
    assert _card(tomllib.loads(dump(card))) == card


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    card = read_card(written(tmp_path, MINIMAL))
    assert (card.scale, card.frames, card.tiling, card.dtypes) == (None, 1, "exact", ("fp32",))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("hallo = 4", "unknown key 'hallo'; did you mean 'halo'"),
        ("halo = -1", "halo must be an integer of at least 0"),
        ("scale = 2.5", "scale must be an integer"),
        ("frames = 2", "frames must be odd"),
        ("frames = true", "frames must be an integer"),
        ('tiling = "maybe"', "tiling must be one of exact, blend, never"),
        ('dtypes = ["bf16"]', "dtypes must contain fp32"),
        ('digest = "123"', "digest must be a sha256"),
        ('[[scores]]\ntest_set = "set5"', "a score has exactly"),
        ("halo = ", "not valid TOML"),
    ],
)
def test_a_wrong_card_is_refused_by_name_and_reason(tmp_path: Path, extra: str, said: str) -> None:
    path = written(tmp_path, MINIMAL + extra)
    with pytest.raises(ModelError, match=said) as caught:
        read_card(path)
    assert str(path) in caught.value.message


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing arch, domain"):
        read_card(written(tmp_path, 'id = "a"\nfamily = "a"\n'))


def test_shipped_cards_are_named_as_their_files() -> None:
    from vsr.engines import weights

    names = {path.stem for path in weights.shipped_folder().glob("*.toml")}
    assert {"nearest", "bilinear", "bicubic", "lanczos"} <= names
    assert names <= {card.id for card in registry.models()}
