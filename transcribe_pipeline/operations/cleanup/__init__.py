"""Deep cleanup: what may go (`planning`), a plan of it that people look at (`plans`), and its doing (`applying`).

A plan deletes nothing. Whoever applies it makes it a second time, against the world as it is by then, and refuses the
whole of it if anything has changed; what goes then goes into quarantine, from where it can be put back.
"""
