"""Whether a sound track holds speech, by its rhythm and its voiced share."""

from __future__ import annotations

import logging

import numpy as np
from scipy.signal import butter, sosfiltfilt

from real3d_portrait.arrays import Float32Array
from real3d_portrait.motion.audio_features import N_MELS, audio_features

log = logging.getLogger(__name__)

# Over 204 clips of talking people the rhythm was 1.8 dB and more, the voiced share 0.14 to 0.88. Even noises and hums
# have no such rhythm; of the sounds that have, interrupted noise is unvoiced and a melody is voiced throughout.
_RHYTHM_MIN_DB, _RHYTHM_BAND_HZ = 1.2, (2.0, 10.0)  # loudness modulation at the rate of syllables
_VOICED_SHARE = (0.07, 0.95)  # of the loud frames
_VOICED = 0.7  # voicing feature above which a frame counts as voiced
_LOUD, _FLOOR = -1.5, -2.0  # loudness relative to the clip's own level, in feature units
_DB_PER_UNIT = 20.0  # decibels of a loudness feature unit
_SILENT_RMS = 1e-3  # of full scale


def why_no_speech(samples: Float32Array) -> str | None:
    """Why (N,) mono samples at 16 kHz hold no speech; None where they do."""
    if float(np.sqrt(np.mean(np.square(samples)))) < _SILENT_RMS:
        return "it is silent"
    features = audio_features(samples)
    loudness, voicing = features[:, N_MELS], features[:, N_MELS + 2]
    band = butter(2, _RHYTHM_BAND_HZ, "bandpass", fs=100, output="sos")
    rhythm = _DB_PER_UNIT * float(sosfiltfilt(band, loudness.clip(_FLOOR)).std())
    if rhythm < _RHYTHM_MIN_DB:
        return "its sound is even, as of noise or a hum"
    voiced = float((voicing > _VOICED)[loudness > _LOUD].mean())
    log.debug("Rhythm of the speech %.1f dB, voiced share %.2f.", rhythm, voiced)
    if voiced < _VOICED_SHARE[0]:
        return "no voice is heard in it"
    return "it sounds like music alone" if voiced > _VOICED_SHARE[1] else None
