"""Labels beyond class ids: soft ones, one per view, or a teacher that gives them."""

from ddcore.labels.by_teachers import TeacherLabels, mean_logits
from ddcore.labels.class_ids import ids_bytes, pack_ids, unpack_ids
from ddcore.labels.hard import ClassLabels
from ddcore.labels.logits import BITS, LogitStorage
from ddcore.labels.per_view import ViewLabels, Views
from ddcore.labels.soft import SoftLabels
from ddcore.labels.teacher_labelling import KINDS, TeacherLabelling, parse_labelling
from ddcore.parts import LABELS, Feed, Labelling, Labels

LABELS.update({labels.kind: labels for labels in (ClassLabels, SoftLabels, ViewLabels, TeacherLabels)})

__all__ = [
    "BITS",
    "KINDS",
    "LABELS",
    "ClassLabels",
    "Feed",
    "Labelling",
    "Labels",
    "LogitStorage",
    "SoftLabels",
    "TeacherLabelling",
    "TeacherLabels",
    "ViewLabels",
    "Views",
    "ids_bytes",
    "mean_logits",
    "pack_ids",
    "parse_labelling",
    "unpack_ids",
]
