"""How the models that ship with wetread were made. torch may be loaded here."""
