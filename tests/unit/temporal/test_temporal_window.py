import pytest

from vsr.core.errors import UsageError
from vsr.temporal.window import EDGE_POLICIES, reach, windows


def never(_: int) -> bool:
    return False


CASES = [
    # policy, size, stride, items, expected items of each window
    ("clamp", 3, 1, [0, 1, 2], [(0, 0, 1), (0, 1, 2), (1, 2, 2)]),
    ("mirror", 3, 1, [0, 1, 2], [(1, 0, 1), (0, 1, 2), (1, 2, 1)]),
    ("center", 3, 1, [0, 1, 2], [(0, 0, 1), (0, 1, 2), (1, 2, 2)]),
    ("clamp", 3, 2, [0, 1, 2, 3], [(0, 0, 2), (0, 1, 3), (0, 2, 3), (1, 3, 3)]),
    (
        "mirror",
        5,
        2,
        [0, 1, 2, 3, 4],
        [(4, 2, 0, 2, 4), (3, 1, 1, 3, 3), (2, 0, 2, 4, 2), (1, 1, 3, 3, 1), (0, 2, 4, 2, 0)],
    ),
    ("center", 5, 1, [0, 1], [(0, 0, 0, 1, 0), (1, 0, 1, 1, 1)]),
    ("mirror", 5, 3, [7], [(7, 7, 7, 7, 7)]),
    ("clamp", 1, 1, [0, 1], [(0,), (1,)]),
]


@pytest.mark.parametrize(("policy", "size", "stride", "items", "expected"), CASES)
def test_edge_policy_fills_positions_outside_the_shot(policy, size, stride, items, expected):
    got = [w.items for w in windows(items, size=size, stride=stride, edge=policy, opens_shot=never)]
    assert got == expected


def test_valid_mask_tells_true_neighbours_from_stand_ins():
    got = [w.valid for w in windows([0, 1, 2], size=3, opens_shot=never)]
    assert got == [(False, True, True), (True, True, True), (True, True, False)]


@pytest.mark.parametrize("cut", range(1, 9))
def test_windows_on_either_side_of_a_cut_equal_those_of_the_shots_alone(cut):
    items = list(range(9))
    both = [w.items for w in windows(items, size=5, stride=2, edge="mirror", opens_shot=lambda i: i == cut)]
    alone = [
        w.items
        for part in (items[:cut], items[cut:])
        for w in windows(part, size=5, stride=2, edge="mirror", opens_shot=never)
    ]
    assert both == alone


def test_nothing_gives_no_windows():
    assert list(windows([], size=3, opens_shot=never)) == []


def test_stream_is_read_no_further_than_the_reach():
    read = []

    def stream():
        for i in range(100):
            read.append(i)
            yield i

    made = windows(stream(), size=3, stride=2, opens_shot=never)
    next(made)
    assert max(read) == reach(3, 2) == 2


def test_items_out_of_reach_are_let_go():
    class Item:
        alive = 0

        def __init__(self):
            Item.alive += 1

        def __del__(self):
            Item.alive -= 1

    most = 0
    for _ in windows((Item() for _ in range(200)), size=5, stride=2, opens_shot=lambda _: False):
        most = max(most, Item.alive)
    assert most <= 2 * reach(5, 2) + 2


@pytest.mark.parametrize(
    ("size", "stride", "edge"), [(2, 1, "clamp"), (0, 1, "clamp"), (3, 0, "clamp"), (3, 1, "wrap")]
)
def test_impossible_windows_are_refused(size, stride, edge):
    with pytest.raises(UsageError):
        list(windows([1], size=size, stride=stride, edge=edge, opens_shot=never))


def test_every_policy_stays_inside_the_shot():
    for name, policy in EDGE_POLICIES.items():
        for length in range(1, 6):
            for center in range(length):
                for position in range(-9, length + 9):
                    if not 0 <= position < length:
                        assert 0 <= policy(position, center, 0, length - 1) < length, name
