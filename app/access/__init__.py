"""Who may do what: scopes and roles, people and sessions, keys and tokens, secrets, quotas, the audit chain.

Not here: who is in the federation (`app.platforms`) and what is admitted. Rooms above declare what a route needs
(`door.requires`, `door.public`), narrow their statements (`principal.within`) and note what they did (`audit.note`).
"""
