"""What every other module stands on: checks of arguments, arrays, devices, and libraries to install."""
