"""The people of a video: pieces of followed faces joined by place, size, looks and shape, and who comes first."""

from __future__ import annotations

import numpy as np

from real3d_portrait.arrays import FloatArray
from real3d_portrait.face.landmarks import N_MESH
from real3d_portrait.face.looks import difference
from real3d_portrait.face.people_tracker import Piece, follows
from real3d_portrait.face.same_person import MAX_DISTANCE_IN_FILE, differ

_BRIDGED = 1.2  # seconds that a face may be hidden
_OTHER = 65.0  # of looks: another person, where the shape is not known
_OTHER_NEAR = 85.0  # where a face is hidden and seen again in one place
_CUT = 0.25  # seconds: who is back sooner was not hidden, and has to look the same
_DOUBLE = 0.2  # seconds that two pieces of one person may overlap
_STILL = 0.0035  # of a face's height, motion of its points within it: a picture of a face
_OFTEN = 0.5  # of the time that the most seen person is seen
_NO_CUTS = np.zeros(0)
_TOGETHER = 5  # frames with both
_PASSING = 0.5  # seconds: who is seen for less is nobody that could be chosen


def people(pieces: list[Piece], cuts: FloatArray = _NO_CUTS) -> list[Piece]:
    """Whose pieces they are: one long piece a person.

    The first is whom a viewer would follow: of the one who is seen longest and those beside him for half as long or
    longer the largest, pictures on a wall behind all who move; then come the others, again by size. Faces seen for less
    than half a second are left out unless there are no others.

    Args:
        cuts: (C,) seconds at which the video is cut. After these, pieces that have one are known again by shape.
    """
    found: list[Piece] = []
    for piece in pieces:
        scores = [_apart(person, piece, cuts) for person in found]
        best = int(np.argmin(scores)) if scores else 0
        if scores and scores[best] < 0:
            found[best] = _joined(found[best], piece)
        else:
            found.append(piece)
    while True:
        pairs = [(_apart(*_in_order(a, b), cuts), i, j) for i, a in enumerate(found) for j, b in enumerate(found[:i])]
        closest = min(pairs, default=(0.0, 0, 0))
        if closest[0] >= 0:
            break
        _, i, j = closest
        joined = _joined(*_in_order(found[i], found[j]))
        found = [person for k, person in enumerate(found) if k not in (i, j)] + [joined]
    lasting = [person for person in found if person.times[-1] - person.times[0] >= _PASSING] or found
    lasting.sort(key=_start)
    still = {id(person): _is_still(person) for person in lasting}
    most = max(lasting, key=lambda p: len(p.times) * (_OFTEN if still[id(p)] else 1), default=None)

    def order(person: Piece) -> tuple[bool, bool, float]:
        comes_first = person is most or (
            most is not None and len(person.times) >= _OFTEN * len(most.times) and are_together(person, most)
        )
        return not comes_first, still[id(person)], -person.height

    lasting.sort(key=order)
    return lasting


def are_together(one: Piece, other: Piece) -> bool:
    """Whether two people are seen at once, not one after the other."""
    return len(np.intersect1d(one.times, other.times)) > _TOGETHER


def _start(piece: Piece) -> float:
    return float(piece.times[0])


def _in_order(one: Piece, other: Piece) -> tuple[Piece, Piece]:
    return (one, other) if _start(one) <= _start(other) else (other, one)


def _apart(person: Piece, piece: Piece, cuts: FloatArray) -> float:
    """How different a later piece is from a person, less than 0: the same one."""
    both = np.minimum(person.times[-1], piece.times[-1]) - piece.times[0]
    if both > _DOUBLE and len(np.intersect1d(person.times, piece.times)) > 0:
        return np.inf
    apart = difference(person.looks, piece.looks)
    before = int(np.searchsorted(person.times, piece.times[0])) - 1
    last = person.times[before] if before >= 0 else -np.inf
    gap = piece.times[0] - last
    hidden = _CUT < gap <= _BRIDGED
    near = hidden and follows(person.landmarks[before], piece.landmarks[0], 0.1 * gap)
    if near:
        return 0.5 * apart - 0.5 * _OTHER_NEAR
    shapes, appearances = (person.shape, piece.shape), (person.appearance, piece.appearance)
    is_cut = bool(((cuts > last) & (cuts <= piece.times[0])).any())
    # A head that turns within one shot keeps its looks better than its shape.
    if not is_cut or shapes[0] is None or shapes[1] is None or appearances[0] is None or appearances[1] is None:
        return apart - _OTHER
    _, distance = differ((shapes[0], shapes[1]), (appearances[0], appearances[1]))
    return _OTHER * (distance / MAX_DISTANCE_IN_FILE - 1)


def _joined(one: Piece, other: Piece) -> Piece:
    """Both pieces of one person; where they overlap, the earlier one."""
    new = ~np.isin(other.times, one.times)
    times = np.concatenate([one.times, other.times[new]])
    order = np.argsort(times, kind="stable")
    landmarks = np.concatenate([one.landmarks, other.landmarks[new]])
    share = len(other.times) / (len(one.times) + len(other.times))
    shape, appearance = one.shape, one.appearance
    if shape is None:
        shape = other.shape
    elif other.shape is not None:
        shape = shape + share * (other.shape - shape)
    if appearance is not None and other.appearance is not None:
        appearance = appearance + other.appearance
    looks = one.looks + np.float32(share) * (other.looks - one.looks)
    return Piece(times[order], landmarks[order], looks, appearance, shape)


def _is_still(piece: Piece) -> bool:
    """Whether the points of a face keep their places within it."""
    points = piece.landmarks[:: max(1, len(piece.times) // 100), :N_MESH, :2].astype(np.float64)
    height = np.ptp(points[..., 1], axis=1).mean()
    z = points[..., 0] + 1j * points[..., 1]
    z -= z.mean(1, keepdims=True)
    mean = z[0]
    for _ in range(2):  # similarities in the plane are complex factors
        turned = z * ((z.conj() @ mean) / (np.abs(z) ** 2).sum(1))[:, None]
        mean = turned.mean(0)
    return bool(np.sqrt((np.abs(turned - mean) ** 2).mean()) < _STILL * height)
