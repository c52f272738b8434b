"""Flags are generated from the settings; a new one is a decision."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from vsr.cli import vsr
from vsr.commands.options import SettingsCommand, flag_of, given, help_of, settings_flags
from vsr.core.errors import SettingsError
from vsr.core.settings import SettingField, fields

# A flag is a promise to users. Whoever changes this list changes docs/cli.md and the changelog with it.
UPSCALE_FLAGS = (
    "-o --output -p --preset --dry-run --json -q --quiet -v --verbose "
    "-m --model -s --scale --height --width --device --precision --batch --tile --workers "
    "--frames --stride --edge --shots --no-shots "
    "--steps --detail --consistency --noise --color-fix "
    "--codec --crf --encoder-preset --encoder --keyint --max-bitrate --codec-options --pix-fmt --container "
    "--square-pixels --no-square-pixels --autorotate --no-autorotate "
    "--image-depth --faststart --no-faststart --encoder-threads "
    "--decoder --hwaccel --deinterlace --audio --no-audio --map --verify --no-verify --start --end --rate --seed "
    "--trace --trace-frames "
    "--chunk-frames --cluster --address --max-pixels "
    "--overwrite --no-overwrite --restart --no-restart --force --no-force --strict --no-strict"
)


def _parse(*words: str) -> dict[str, object]:
    """Give what a command with every generated flag would receive."""
    received: dict[str, object] = {}

    @click.command(cls=SettingsCommand)
    @settings_flags()
    def command(**flags: object) -> None:
        received.update(given(flags))

    command.main(list(words), standalone_mode=False)
    return received


def test_the_flags_of_upscale_are_frozen() -> None:
    command = vsr.get_command(click.Context(vsr), "upscale")
    assert command is not None
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert [name for option in options for name in (*option.opts, *option.secondary_opts)] == UPSCALE_FLAGS.split(" ")


def test_every_setting_has_its_flag() -> None:
    assert {flag_of(item) for item in fields()} <= set(UPSCALE_FLAGS.split(" "))


def test_nothing_typed_gives_nothing() -> None:
    assert _parse() == {}


def test_values_arrive_typed_under_the_settings_names() -> None:
    words = "-s 1.5 --frames 3 --codec ffv1 --no-shots --overwrite --encoder-preset slow --seed 0"
    assert _parse(*words.split(" ")) == {
        "scale": 1.5,
        "frames": 3,
        "codec": "ffv1",
        "shots": False,
        "overwrite": True,
        "encoder_preset": "slow",
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--batch two", "'two' is no whole number"),
        ("--batch 1.5", "'1.5' is no whole number"),
        ("--scale big", "'big' is no number"),
        ("--codec mpeg2", "'mpeg2' is not one of 'h264'"),
        ("--seed", "requires an argument"),
    ],
)
def test_a_word_that_cannot_be_read_is_a_usage_error(words: str, said: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        _parse(*words.split())
    assert said in caught.value.format_message()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--batch 0", "batch must be at least 1, got 0"),
        ("--crf 63.5", "crf must be at most 63, got 63.5"),
        ("--scale nan", "scale must be a number, got nan"),
        ("--stride -1", "stride must be at least 1, got -1"),
    ],
)
def test_a_value_out_of_bounds_is_refused_while_it_is_parsed(words: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        _parse(*words.split())


@pytest.mark.parametrize("item", list(fields()), ids=lambda item: item.name)
def test_help_tells_the_default_exactly_once(item: SettingField) -> None:
    text = help_of(item)
    assert text.endswith(".")
    assert text.count("default:") == (0 if item.default is None and "default" not in item.help else 1)


def test_help_lists_the_flags_block_by_block() -> None:
    text = CliRunner().invoke(vsr, ["upscale", "--help"]).output
    titles = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Options:", "Model and machine:", "Time:", "Diffusion:", "Output:", "Run:"]
