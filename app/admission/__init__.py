"""Assessment before sharing (资源评估准入): policies, what is kept back, the reviewers' queue, verdicts. Not the catalogue:
what is kept back stands in a table of this room and enters `catalogue.service.apply` only when it is admitted."""
