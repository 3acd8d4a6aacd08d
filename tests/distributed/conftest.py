from __future__ import annotations

# They run in processes of their own; to import them here brings torch's deprecation
# warnings.
collect_ignore = ["replicated.py", "sharded.py"]
