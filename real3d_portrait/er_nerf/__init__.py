"""ER-NeRF: a personal avatar from one video (Li et al., ICCV 2023): networks, ray marcher, data, avatar files.

Rooms, each importing only those before it: fields (networks), rendering, data (from a video to a training set),
training.
"""
