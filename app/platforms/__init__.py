"""Who is in the federation: platforms, their level and region. Not their feeds."""
