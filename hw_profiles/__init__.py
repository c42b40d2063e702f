"""What the computer is: one TOML file for each kind. Data, no code."""

if __name__ == "hw_profiles":
    raise ImportError('import "cardan.hw_profiles", not "hw_profiles": src/cardan links to this folder')
