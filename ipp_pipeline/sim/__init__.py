"""A simulated survey at catalog level: a true sky, a camera, and real ``.smf`` files."""

from ipp_pipeline.sim.gaia import read_gaia_catalog
from ipp_pipeline.sim.plan import SurveyPlan
from ipp_pipeline.sim.run import SurveyFiles, simulate
from ipp_pipeline.sim.size import estimate_size

__all__ = ["SurveyFiles", "SurveyPlan", "estimate_size", "read_gaia_catalog", "simulate"]
