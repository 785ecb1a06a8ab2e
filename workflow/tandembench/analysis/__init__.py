"""The analysis room: tables -> findings. Pure; nothing here writes a word that a person reads."""
