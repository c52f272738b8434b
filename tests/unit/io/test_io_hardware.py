from vsr.io.codecs import CODECS
from vsr.io.hardware import usable_decoders, usable_encoders


def test_every_software_encoder_is_usable_and_the_others_say_why_not() -> None:
    found = usable_encoders()
    assert {name: found[name] for name in (rule.encoder for rule in CODECS.values())} == {
        rule.encoder: "ok" for rule in CODECS.values()
    }
    assert all(found.values())
    assert {"h264_nvenc", "hevc_nvenc", "av1_nvenc"} <= set(found)


def test_every_hardware_decoder_is_tried_and_says_what_it_lacks() -> None:
    found = usable_decoders()
    assert set(found) == {"h264_cuvid", "hevc_cuvid", "av1_cuvid"}
    assert all(found.values())
