"""The runs that ship with the repository."""

from tests.helpers import ROOT

SHIPPED = ROOT / "runs" / "pretrained"
