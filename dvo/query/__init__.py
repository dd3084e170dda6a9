"""SQL and ADQL: text to a plan, a plan to rows."""
