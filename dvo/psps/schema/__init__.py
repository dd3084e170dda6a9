"""The public schema: tables, columns, types, units and defaults, said once."""
