"""
Lines of a gamma spectrum
=========================

A sample of kelp was measured for a week in a lead cave, with a germanium detector: counts in 8,192 channels.
Lines of known energies stand on a sloping background. Each is a data set of its own, all are fitted in one
call, by the likelihood of counts. The spectrum is one of becquerel's samples (Lawrence Berkeley National
Laboratory, BSD licence); ``gamma.csv`` lies beside this script.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

counts = np.loadtxt("gamma.csv", delimiter=",").ravel()
lines = {  # keV
    "Pb-214": 295.224,
    "Pb-214 ": 351.932,
    "Tl-208": 583.187,
    "Bi-214": 609.312,
    "Cs-137": 661.657,
    "Ac-228": 911.204,
    "Bi-214 ": 1120.294,
    "K-40": 1460.820,
    "Bi-214  ": 1764.494,
    "Tl-208 ": 2614.511,
}
energies = np.array(list(lines.values()))
first = np.round(energies / 0.378444).astype(int) - 20  # by the detector's own, rough calibration
channels = first[:, None] + np.arange(41)
windows = counts[channels]

# %%
# The model ships with nbadam and guesses its start from the data. Channels are counted from the middle of
# each window.

fit = nbadam.curve_fit(nbadam.models.GAUSSIAN_LINEAR, np.arange(-20, 21), windows, loss="poisson")
print(fit)
centre = fit["center"] + first + 20

# %%
# The lines calibrate the detector: a straight line through ten energies, whose residuals are some
# hundredths of a keV.

scale = nbadam.curve_fit("gain * x + offset", centre, energies, p0=[0.38, 0], sigma=0.38 * fit.perr[:, 1])
print(scale)

figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
axes[0].semilogy(scale["gain"] * np.arange(8192) + scale["offset"], np.maximum(counts, 0.5), lw=0.5)
axes[0].set(xlabel="energy / keV", ylabel="counts", xlim=(100, 2800))
for name in ("Cs-137", "K-40", "Tl-208 "):
    axes[0].annotate(name.strip(), (lines[name], 6e4), fontsize="small", ha="center")
axes[0].set_ylim(0.5, 2e5)
one = list(lines).index("Cs-137")
fit.plot(one, ax=axes[1], xlabel="channel from the middle", ylabel="counts")
axes[1].set_title("Cs-137", fontsize="small")
axes[2].errorbar(energies, 2.355 * scale["gain"] * abs(fit["sigma"]), 0.9 * fit.perr[:, 2], fmt="o", ms=4)
axes[2].set(xlabel="energy / keV", ylabel="width at half height / keV")
