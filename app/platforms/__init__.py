"""Who is in the federation: platforms and vendors, how they came in and what keeps them in. Not their feeds.

`stages` is the state machine as data; `applications` and `credentials` are the applicant's side, `moves` the hub's;
`checking`, `once`, `documents` and `proof` are what a move rests on; `lines`, `choices`, `gradings`, `notices` are
what a member has to do with others.
"""
