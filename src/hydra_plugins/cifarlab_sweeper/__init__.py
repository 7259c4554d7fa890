"""Hydra finds its plugins below the namespace ``hydra_plugins``. Nothing slow may be imported here:
every command, ``--help`` too, loads it."""
