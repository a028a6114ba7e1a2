// Mixtures that are heard as one mood; each sums to 1 at most, so that no engine has to scale it down.

export const MOODS = {
  cheerful: { happy: 0.7, surprised: 0.15 },
  gentle: { happy: 0.2, calm: 0.7 },
  thrilled: { happy: 0.45, surprised: 0.55 },
  furious: { angry: 0.9, disgusted: 0.1 },
  gloomy: { sad: 0.35, melancholic: 0.6 },
  frightened: { afraid: 0.85, surprised: 0.1 },
};
