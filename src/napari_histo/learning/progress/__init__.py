"""What a project's rounds gained so far, and what another one would give."""
