"""Options of the user's labs, beside ours on Hydra's search path."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from cifarlab.base.labs import labs


class LabsSearchPath(SearchPathPlugin):
    """Adds the ``conf/`` of each lab behind ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for lab in labs():
            if lab.conf.is_dir():
                search_path.append(provider=f"lab {lab.name}", path=f"file://{lab.conf}")
