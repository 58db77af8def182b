"""The doctor's judgements: facts about a host and its fleet in, verdicts with remedies out."""
