"""The data plane: one call goes through the stages of ``pipeline`` in one direction."""
