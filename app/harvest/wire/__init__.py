"""Below `fetch`, for nothing else: budgets, guarded connections, bounded bodies, what answers say."""
