"""The public database (PSPS): its schema, batches of it, and the database they fill."""
