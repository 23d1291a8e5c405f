"""The web pages of operators and of the public: routes, templates, static files, translations. No SQL lives here."""
