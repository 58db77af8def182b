"""`vctl`, the operator's command of vulcand: vulcand's verbs and tables, and our own."""
