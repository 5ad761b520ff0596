"""ER-NeRF: a personal avatar from one video (Li et al., ICCV 2023): networks, ray marcher, data, avatar files."""
