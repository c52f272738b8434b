"""Which executor a job asks for."""

from __future__ import annotations

from vsr.core.job import Job
from vsr.jobs.executors.base import Executor


def executor_for(job: Job) -> Executor:
    """Give the executor that the job's settings ask for; whoever called closes it.

    Raises:
        UsageError: a cluster, and its package is not installed. JobError: it cannot be reached.
    """
    run = job.settings.run
    if run.cluster == "ray":
        from vsr.jobs.executors.ray_cluster import RayCluster

        return RayCluster(address=run.address)
    if len(job.compute.devices) > 1:
        from vsr.jobs.executors.processes import Processes

        return Processes(job.compute.devices)
    from vsr.jobs.executors.here import Here

    return Here()
