"""Names and numbers of the Cityscapes format (cityscapesscripts/helpers/labels.py)."""

from __future__ import annotations

ROOT = "gtFine"
POLYGONS, INSTANCES, NUMBERS = (
    f"_{ROOT}_{end}" for end in ("polygons.json", "instanceIds.png", "labelIds.png")
)
PHOTO = "_leftImg8bit"  # ending of the pictures' names
LABELS, IMAGES = "labels.json", "images.json"  # Herdmark's own, at the root

OUT_OF_ROI, OUT_OF_ROI_ID = "out of roi", 3
VOID = frozenset({"unlabeled", "ego vehicle", "rectification border", OUT_OF_ROI})  # ids 0 to 3
_FROM_FOUR = (
    *("static", "dynamic", "ground", "road", "sidewalk", "parking", "rail track", "building"),
    *("wall", "fence", "guard rail", "bridge", "tunnel", "pole", "polegroup", "traffic light"),
    *("traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus"),
    *("caravan", "trailer", "train", "motorcycle", "bicycle"),
)
FIRST_ID = 4
IDS = {name: number for number, name in enumerate(_FROM_FOUR, start=FIRST_ID)}
FIRST_WITH_INSTANCES = IDS["person"]  # the labels below are ground and buildings
FIRST_OWN, LAST_OWN = 34, 64  # of other names: 1000 * id + 999 has to fit into 16 bits
