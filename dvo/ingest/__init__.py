"""From catalogs to measures, objects and images: addstar and its readers."""
