"""What every room stands on: errors, safe files, typed settings, progress.

Read ``errors``, ``files``, ``settings``, ``progress`` in that order; none knows about
language models.
"""
