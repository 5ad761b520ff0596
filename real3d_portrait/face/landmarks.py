"""Names for the points of a face: the 478 of the tracker's mesh (MediaPipe) and the 68 of iBUG.

Left and right are those of the picture: LEFT is the person's right side.
"""

from __future__ import annotations

N_MESH = 468  # the vertices of the surface; 468..477 are the two irises (centre, then four on the rim)
N_LANDMARKS = 478

FOREHEAD, CHIN = 10, 152  # top and bottom of the oval
GLABELLA, SUBNASALE = 9, 2  # between the brows; where nose and upper lip meet
NOSE_TIP, NOSE_BELOW_TIP, NOSE_LEFT_OF_TIP = 4, 1, 44
NOSE_BRIDGE = 168  # between the eyes
LIP_TOP, LIP_BOTTOM = 0, 17  # outer rims, in the middle
LIP_UPPER, LIP_LOWER = 13, 14  # inner rims, in the middle
IRIS_LEFT_CENTRE, IRIS_RIGHT_CENTRE = 468, 473

# Pairs left and right.
MOUTH_CORNERS = (61, 291)
MOUTH_INNER_CORNERS = (78, 308)
EYE_OUTER_CORNERS = (33, 263)
EYE_INNER_CORNERS = (133, 362)
TEMPLES = (127, 356)
EAR_FRONTS = (234, 454)
EAR_LOBES = (93, 323)
JAW_CORNERS = (58, 288)

OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
        148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]  # fmt: skip
OVAL_JAW = OVAL[28:7:-1]  # from ear to ear, left to right
JAW = [152, 148, 176, 149, 150, 377, 400, 378, 379]
JAW_FRONT = [152, 148, 377, 176, 400, 149, 378]
BESIDE_EARS = (93, 127, 132, 234, 323, 356, 361, 454)
CHEEK_LEFT, CHEEK_RIGHT = (50, 101, 36, 205), (280, 330, 266, 425)
NOSTRILS = (129, 98, 48, 358, 327, 278)
BARE_SKIN = (205, 425, 50, 280, 9, 151, 108, 337, 101, 330, 6, 197)  # cheeks, nose bridge, forehead

LIPS_OUTER = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
# Left corner to right corner along the lower lip, back along the upper.
LIPS_INNER = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191]
LIPS_INNER_LOWER = tuple(LIPS_INNER[:11])  # left to right, corners included
LIPS_INNER_UPPER = (LIPS_INNER[0], *LIPS_INNER[:9:-1])

# From the outer corner to the inner one along the lower lid, back along the upper.
EYE_LEFT = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
EYE_RIGHT = [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
EYE_LEFT_LOWER = tuple(EYE_LEFT[:9])  # left to right, corners included
EYE_LEFT_UPPER = (EYE_LEFT[0], *EYE_LEFT[:7:-1])
EYE_RIGHT_LOWER = tuple(EYE_RIGHT[8::-1])
EYE_RIGHT_UPPER = (*EYE_RIGHT[8:], EYE_RIGHT[0])
LID_CREASE_LEFT = (247, 30, 29, 27, 28, 56, 190)
LID_CREASE_RIGHT = (414, 286, 258, 257, 259, 260, 467)
IRIS_LEFT = list(range(468, 473))
IRIS_RIGHT = list(range(473, 478))
IRIS = IRIS_LEFT + IRIS_RIGHT
BROW_LEFT = [70, 63, 105, 66, 107, 55, 65, 52, 53, 46]
BROW_RIGHT = [300, 293, 334, 296, 336, 285, 295, 282, 283, 276]
# Corners, middle of the lids, ends of the brow.
EYE_AND_BROW_LEFT, EYE_AND_BROW_RIGHT = (33, 133, 159, 145, 70, 107), (263, 362, 386, 374, 300, 336)

# Upper and lower points that meet when lips and lids close, corners left out.
LIP_PAIRS = [(13, 14), (82, 87), (81, 178), (80, 88), (191, 95), (312, 317), (311, 402), (310, 318), (415, 324)]
LID_PAIRS = [(159, 145), (158, 153), (157, 154), (173, 155), (160, 144), (161, 163), (246, 7),
             (386, 374), (385, 380), (384, 381), (398, 382), (387, 373), (388, 390), (466, 249)]  # fmt: skip
# Those in the middle, where the gap is widest.
LIP_PAIRS_MIDDLE = ((13, 14), (82, 87), (312, 317))
LID_PAIRS_MIDDLE_LEFT = ((159, 145), (158, 153), (160, 144))
LID_PAIRS_MIDDLE_RIGHT = ((386, 374), (385, 380), (387, 373))
LID_PAIRS_MIDDLE = LID_PAIRS_MIDDLE_LEFT + LID_PAIRS_MIDDLE_RIGHT

# Points that expression moves least: brow ridge, eye corners, nose bridge, temples.
RIGID = [4, 6, 10, 33, 54, 67, 117, 119, 121, 127, 129, 133, 143, 198, 263, 284, 297, 346, 348, 350, 356,
         358, 362, 372, 420]  # fmt: skip
# The same along the middle of the face and its sides: forehead, temples, nose, eye corners.
RIGID_OUTLINE = (6, 197, 195, 5, 168, 8, 9, 151, 10, 33, 133, 362, 263, 127, 356, 234, 454, 227, 447, 143, 372, 2, 94)
# Eyes, nose, corners of the mouth, temples: what aligns pictures of one face.
ALIGNMENT = [33, 133, 263, 362, 168, 6, 197, 1, 2, 61, 291, 127, 356]

# iBUG's 68 points.
IBUG_CHIN = 8
IBUG_MOUTH_CORNERS = (48, 54)
IBUG_INNER_LIP_PAIRS = ((61, 67), (62, 66), (63, 65))
IBUG_EYES = (range(36, 42), range(42, 48))
IBUG_JAW_ENDS, IBUG_NOSE_BRIDGE = (0, 16), 27
