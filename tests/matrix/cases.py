"""All cases of the matrix, in the order of their kinds."""

from __future__ import annotations

from tests.matrix.of_pictures import codecs, colours, depths
from tests.matrix.of_streams import shapes, streams
from tests.matrix.of_times import fields, times

CASES = (*codecs(), *depths(), *colours(), *times(), *fields(), *shapes(), *streams())
