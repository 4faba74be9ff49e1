import { type RefObject, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../shared/api.ts'
import { clockTime, longDate } from '../shared/i18n.ts'
import { attend, type Phase, type Result, SHOWN_MS } from './attendant.ts'
import { takePicture } from './burst.ts'
import { type CameraState, useCamera } from './camera.ts'
import { type Direction, disown } from './check.ts'
import { CodeForm } from './code-form.tsx'
import type { Detector } from './detector.ts'
import { FaceFrame } from './face-frame.tsx'
import { acknowledge, beat, type Command, isOutdated } from './heartbeat.ts'
import { type Kiosk, keepKiosk } from './pairing.ts'
import { PinForm } from './pin-form.tsx'
import { openQueue, type Queue } from './queue.ts'
import { NotMe, ResultPanel } from './result-panel.tsx'
import { play } from './sound.ts'
import { StepPanel } from './step-panel.tsx'
import { useWakeLock } from './wake-lock.ts'

interface KioskPageProps {
  kiosk: Kiosk
  onChange: (kiosk: Kiosk) => void
  /** The server no longer knows this kiosk. */
  onDisowned: () => void
}

const BEAT_MS = 30_000
/** A chosen direction is one person's: after this time it is forgotten. */
const CHOICE_MS = 20_000
const BEATS_PER_VERSION_CHECK = 4

const nobody: Phase = { kind: 'waiting', sight: 'nobody', face: undefined }

/** The whole screen of a kiosk. */
export function KioskPage({ kiosk, onChange, onDisowned }: KioskPageProps) {
  const { t } = useTranslation()
  const { video, state: camera } = useCamera()
  const [phase, setPhase] = useState<Phase>(nobody)
  const [detect, setDetect] = useState<Detector>()
  const [detectorFailed, setDetectorFailed] = useState(false)
  const [isReached, setReached] = useState(navigator.onLine)
  const [waiting, setWaiting] = useState(0)
  const [isKept, setKept] = useState(true)
  const [chosen, setChosen] = useState<Direction>('AUTO')
  // While somebody types, or reads what came of it, nobody else is taken.
  const [byPin, setByPin] = useState<'no' | 'typing' | 'answered'>('no')
  const queue = useQueue(kiosk, setWaiting)
  const direction = useLatest<Direction>(kiosk.direction === 'AUTO' ? chosen : kiosk.direction)
  const isIdle = useLatest(phase.kind === 'waiting' && phase.sight === 'nobody')
  useWakeLock()

  useEffect(() => {
    import('./detector.ts')
      .then(({ loadDetector }) => loadDetector())
      .then((loaded) => {
        setDetect(() => loaded)
        dispatchEvent(new Event('rollcall:ready'))
      })
      .catch(() => setDetectorFailed(true))
    // What waits here must not be cleared away when the tablet is short of room.
    navigator.storage?.persist().then(setKept, () => setKept(false))
  }, [])

  useEffect(() => {
    if (!detect || camera !== 'live' || byPin !== 'no') return
    const ending = new AbortController()
    const done = attend({
      kiosk,
      video: video.current!,
      detect,
      queue,
      direction: () => direction.current,
      show: (next) => !ending.signal.aborted && setPhase(next),
      reached: setReached,
      disowned: onDisowned,
      signal: ending.signal,
    })
    done.catch(() => setDetectorFailed(true))
    return () => ending.abort()
  }, [detect, camera, kiosk, queue, byPin])

  useHeartbeat({ kiosk, queue, video, isIdle, onReached: setReached, onChange, onDisowned })

  useEffect(() => {
    if (chosen === 'AUTO') return
    const timer = setTimeout(() => setChosen('AUTO'), CHOICE_MS)
    return () => clearTimeout(timer)
  }, [chosen])

  useEffect(() => {
    if (byPin !== 'answered') return
    const timer = setTimeout(() => {
      setPhase(nobody)
      setByPin('no')
    }, SHOWN_MS.punched)
    return () => clearTimeout(timer)
  }, [byPin])
  const answerPin = (answer: Result | undefined) => {
    setPhase(answer ? { kind: 'result', result: answer } : nobody)
    setByPin(answer ? 'answered' : 'no')
    if (answer) play('good')
  }

  const result = phase.kind === 'result' ? phase.result : undefined
  // The choice was that of whoever has been answered.
  useEffect(() => {
    if (result?.kind === 'punched' || result?.kind === 'saved') setChosen('AUTO')
  }, [result])

  return (
    <main className="fixed inset-0 select-none overflow-hidden bg-black text-white">
      <video
        ref={video}
        muted
        playsInline
        aria-label={t('kiosk.camera')}
        className="absolute inset-0 size-full -scale-x-100 object-cover"
      />
      <div className="absolute inset-0 bg-gradient-to-b from-black/70 via-transparent to-black/80" />
      {phase.kind === 'waiting' && <FaceFrame video={video} face={phase.face} sight={phase.sight} />}
      <TopBar kiosk={kiosk} isReached={isReached} waiting={waiting} isKept={isKept} />
      {result && <ResultPanel result={result} timeZone={kiosk.timeZone ?? undefined} />}
      <div className="absolute inset-x-0 bottom-0 flex flex-col items-center gap-5 p-6 pb-8">
        <NotMe result={result} disown={(punchId) => disown(kiosk, punchId)} />
        {!result && (
          <>
            <Hint {...{ phase, camera, detectorFailed, isLoading: !detect }} />
            {kiosk.direction === 'AUTO' ? (
              <DirectionChoice chosen={chosen} onChoose={setChosen} />
            ) : (
              <DirectionSign direction={kiosk.direction} />
            )}
            {/* Nobody could compare a PIN off line. */}
            {kiosk.pinAllowed && isReached && (
              <button
                type="button"
                onClick={() => setByPin('typing')}
                className="min-h-14 rounded-2xl border-2 border-white/60 bg-black/60 px-6 font-semibold text-xl"
              >
                {t('kiosk.byPin')}
              </button>
            )}
          </>
        )}
      </div>
      {phase.kind === 'step' && <StepPanel {...phase} />}
      {phase.kind === 'code' && <CodeForm onAnswer={phase.answer} />}
      {byPin === 'typing' && <PinForm kiosk={kiosk} direction={direction.current} onAnswer={answerPin} />}
    </main>
  )
}

function useLatest<T>(value: T): RefObject<T> {
  const latest = useRef(value)
  latest.current = value
  return latest
}

function useQueue(kiosk: Kiosk, onWaiting: (count: number) => void): Queue {
  const [queue] = useState(() => openQueue(kiosk, () => tell()))
  const tell = () => queue.waiting().then(onWaiting)
  useEffect(() => {
    tell()
  }, [queue])
  return queue
}

interface HeartbeatProps {
  kiosk: Kiosk
  queue: Queue
  video: RefObject<HTMLVideoElement | null>
  isIdle: RefObject<boolean>
  onReached: (isReached: boolean) => void
  onChange: (kiosk: Kiosk) => void
  onDisowned: () => void
}

/** Tells the server that the kiosk is alive, does what it asks for, and sends what waits. */
function useHeartbeat(props: HeartbeatProps): void {
  const latest = useLatest(props)
  useEffect(() => {
    let beats = 0
    const tick = async () => {
      const { kiosk, queue, video, isIdle, onReached, onChange, onDisowned } = latest.current
      try {
        const { direction, pin_allowed: pinAllowed, commands } = await beat(kiosk)
        onReached(true)
        if (direction !== kiosk.direction || pinAllowed !== kiosk.pinAllowed) {
          await keepKiosk({ ...kiosk, direction, pinAllowed })
          onChange({ ...kiosk, direction, pinAllowed })
        }
        for (const command of commands) await obey(kiosk, command, video.current)
        await queue.send()
        if (beats++ % BEATS_PER_VERSION_CHECK === 0 && (await isOutdated()) && isIdle.current)
          location.reload()
      } catch (error) {
        if (error instanceof ApiError && error.code === 'unknown_device') onDisowned()
        else onReached(error instanceof ApiError && error.status >= 400 && error.status < 500)
      }
    }
    tick()
    const timer = setInterval(tick, BEAT_MS)
    addEventListener('online', tick)
    return () => {
      clearInterval(timer)
      removeEventListener('online', tick)
    }
  }, [])
}

async function obey(kiosk: Kiosk, command: Command, video: HTMLVideoElement | null): Promise<void> {
  if (command.command === 'test_picture') {
    if (!video?.videoWidth) return acknowledge(kiosk, command, 'failed', 'the camera gives no pictures')
    const { size } = await takePicture(video)
    return acknowledge(
      kiosk,
      command,
      'done',
      `${video.videoWidth} x ${video.videoHeight} pixels, ${size} bytes`,
    )
  }
  if (command.command === 'update') return acknowledge(kiosk, command, 'done', 'configuration taken')
  await acknowledge(kiosk, command, 'done', 'loading the page anew')
  // A reset also forgets what was kept of the page; what waits to be sent stays.
  if (command.command === 'reset') await caches?.delete('kiosk')
  location.reload()
}

interface TopBarProps {
  kiosk: Kiosk
  isReached: boolean
  waiting: number
  isKept: boolean
}

function TopBar({ kiosk, isReached, waiting, isKept }: TopBarProps) {
  const { t } = useTranslation()
  const now = useNow()
  const zone = kiosk.timeZone ?? undefined
  return (
    <header className="absolute inset-x-0 top-0 flex items-start justify-between gap-4 p-5 sm:p-7">
      <div className="min-w-0">
        <p className="truncate font-semibold text-xl sm:text-3xl">{kiosk.name}</p>
        <p className="truncate text-white/85 sm:text-xl">{kiosk.siteName}</p>
        <div role="status" className="mt-3 flex flex-col items-start gap-2">
          {!isReached && <Note symbol="⚡">{t('kiosk.offline')}</Note>}
          {waiting > 0 && <Note symbol="⏳">{t('kiosk.waiting', { count: waiting })}</Note>}
          {!isKept && <Note symbol="!">{t('kiosk.notPersistent')}</Note>}
        </div>
      </div>
      <div className="text-right">
        <p className="font-semibold text-5xl tabular-nums sm:text-7xl">{clockTime(now, zone)}</p>
        <p className="text-white/85 sm:text-xl">{longDate(now, zone)}</p>
      </div>
    </header>
  )
}

function Note({ symbol, children }: { symbol: string; children: string }) {
  return (
    <span className="rounded-full bg-amber-300 px-4 py-1.5 font-semibold text-black sm:text-lg">
      <span aria-hidden="true">{symbol} </span>
      {children}
    </span>
  )
}

function useNow(): Date {
  const [now, setNow] = useState(() => new Date())
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), 1000)
    return () => clearInterval(timer)
  }, [])
  return now
}

interface HintProps {
  phase: Phase
  camera: CameraState
  detectorFailed: boolean
  isLoading: boolean
}

/** What the person is to do, or what is wrong with the kiosk. */
function Hint({ phase, camera, detectorFailed, isLoading }: HintProps) {
  const { t } = useTranslation()
  const text = () => {
    if (camera !== 'live') return t(`cameraState.${camera}`)
    if (detectorFailed) return t('kiosk.noDetector')
    if (isLoading) return t('kiosk.starting')
    if (phase.kind === 'looking') return t('kiosk.looking')
    return phase.kind === 'waiting' ? t(`sight.${phase.sight}`) : ''
  }
  const said = text()
  return (
    <p
      role="status"
      className="max-w-4xl text-balance text-center font-semibold text-3xl [text-shadow:0_2px_12px_#000] sm:text-5xl"
    >
      {said}
    </p>
  )
}

const choices = ['IN', 'AUTO', 'OUT'] as const

function DirectionChoice({
  chosen,
  onChoose,
}: {
  chosen: Direction
  onChoose: (direction: Direction) => void
}) {
  const { t } = useTranslation()
  return (
    <fieldset className="flex gap-3">
      <legend className="sr-only">{t('kiosk.direction')}</legend>
      {choices.map((direction) => (
        <button
          key={direction}
          type="button"
          aria-pressed={chosen === direction}
          onClick={() => onChoose(direction)}
          className="min-h-16 min-w-24 rounded-2xl border-2 border-white/60 bg-black/60 px-5 font-semibold text-xl aria-pressed:border-white aria-pressed:bg-white aria-pressed:text-black sm:min-w-32 sm:text-2xl"
        >
          {t(`kioskDirection.${direction}`)}
        </button>
      ))}
    </fieldset>
  )
}

function DirectionSign({ direction }: { direction: 'IN' | 'OUT' }) {
  const { t } = useTranslation()
  return (
    <p className="rounded-2xl bg-white px-6 py-3 font-semibold text-2xl text-black">
      {t(`kioskDirection.${direction}`)}
    </p>
  )
}
