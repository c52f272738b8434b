from hypothesis import given
from hypothesis import strategies as st

from vsr.temporal.window import EDGE_POLICIES, windows


@given(
    length=st.integers(0, 40),
    cuts=st.sets(st.integers(1, 39)),
    half=st.integers(0, 3),
    stride=st.integers(1, 4),
    edge=st.sampled_from(sorted(EDGE_POLICIES)),
)
def test_windows_centre_every_item_once_and_never_cross_a_shot(length, cuts, half, stride, edge):
    shot = [sum(c <= i for c in cuts) for i in range(length)]
    made = list(windows(range(length), size=2 * half + 1, stride=stride, edge=edge, opens_shot=lambda i: i in cuts))
    assert [w.center for w in made] == list(range(length))
    for w in made:
        assert {shot[i] for i in w.items} == {shot[w.center]}
        for k, (item, valid) in enumerate(zip(w.items, w.valid, strict=True)):
            assert not valid or item == w.center + (k - half) * stride
