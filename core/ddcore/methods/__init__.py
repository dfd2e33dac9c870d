"""Published methods, by name: each is a composition with its source's settings."""

from ddcore.methods.cafe import cafe
from ddcore.methods.catalogue import METHODS, SELECTION, Published, build_method
from ddcore.methods.composition import FAMILIES, compose
from ddcore.methods.datm import datm
from ddcore.methods.dc import dc, dsa
from ddcore.methods.dcc import dcc
from ddcore.methods.dd import dd
from ddcore.methods.distill_cf import distill_cf
from ddcore.methods.dm import dm
from ddcore.methods.frepo import frepo
from ddcore.methods.ftd import ftd
from ddcore.methods.g_vbsm import g_vbsm
from ddcore.methods.gtn import gtn
from ddcore.methods.haba import haba
from ddcore.methods.idc import idc, idc_i
from ddcore.methods.it_gan import it_gan
from ddcore.methods.kfs import kfs
from ddcore.methods.kip import kip
from ddcore.methods.linba import linba
from ddcore.methods.linba_no_factorization import linba_no_factorization
from ddcore.methods.linear_gradient_matching import linear_gradient_matching
from ddcore.methods.mtt import mtt
from ddcore.methods.ncfm import ncfm
from ddcore.methods.presets import PRESETS, settled_preset
from ddcore.methods.psg import psg
from ddcore.methods.rded import rded
from ddcore.methods.rfad import rfad
from ddcore.methods.selection import forgetting, head_users, herding, k_center, k_means, random, svp_cf
from ddcore.methods.sre2l import cda, sre2l
from ddcore.methods.sucholutsky import sucholutsky
from ddcore.methods.tesla import tesla

__all__ = [
    "FAMILIES",
    "METHODS",
    "PRESETS",
    "SELECTION",
    "Published",
    "build_method",
    "cafe",
    "cda",
    "compose",
    "datm",
    "dc",
    "dcc",
    "dd",
    "distill_cf",
    "dm",
    "dsa",
    "forgetting",
    "frepo",
    "ftd",
    "g_vbsm",
    "gtn",
    "haba",
    "head_users",
    "herding",
    "idc",
    "idc_i",
    "it_gan",
    "k_center",
    "k_means",
    "kfs",
    "kip",
    "linba",
    "linba_no_factorization",
    "linear_gradient_matching",
    "mtt",
    "ncfm",
    "psg",
    "random",
    "rded",
    "rfad",
    "settled_preset",
    "sre2l",
    "sucholutsky",
    "svp_cf",
    "tesla",
]
