from hypothesis import settings

# How long an example takes says nothing about it on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
