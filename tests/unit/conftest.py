from hypothesis import settings

# On a busy machine the time of an example means nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
