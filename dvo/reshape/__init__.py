"""Changes of a whole database: a part taken out, images deleted, filters added or dropped."""
