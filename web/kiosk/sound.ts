type Tone = 'good' | 'again' | 'bad' | 'cue'

/** Frequencies in Hz, one after the other. */
const melodies: Record<Tone, number[]> = { good: [660, 990], again: [520, 440], bad: [300, 220], cue: [880] }
const NOTE_S = 0.14
let context: AudioContext | undefined

/** Plays what an answer sounds like. Silent until somebody has touched the page once: browsers forbid it before. */
export function play(tone: Tone): void {
  if (!navigator.userActivation?.hasBeenActive) return
  context ??= new AudioContext()
  melodies[tone].forEach((frequency, index) => {
    const start = context!.currentTime + index * NOTE_S
    const [note, volume] = [context!.createOscillator(), context!.createGain()]
    note.frequency.value = frequency
    volume.gain.setValueAtTime(0.25, start)
    volume.gain.exponentialRampToValueAtTime(0.001, start + NOTE_S)
    note.connect(volume).connect(context!.destination)
    note.start(start)
    note.stop(start + NOTE_S)
  })
}
