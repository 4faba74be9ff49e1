import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { attend, type Phase, type Result, SHOWN_MS } from './attendant.ts'
import { useCamera } from './camera.ts'
import { type Direction, disown } from './check.ts'
import { CodeForm } from './code-form.tsx'
import { DirectionChoice, DirectionSign } from './direction-choice.tsx'
import { FaceFrame } from './face-frame.tsx'
import { Hint } from './hint.tsx'
import { useLatest } from './latest.ts'
import type { Kiosk } from './pairing.ts'
import { PinForm } from './pin-form.tsx'
import { openQueue, type Queue } from './queue.ts'
import { NotMe, ResultPanel } from './result-panel.tsx'
import { play } from './sound.ts'
import { StepPanel } from './step-panel.tsx'
import { TopBar } from './top-bar.tsx'
import { useDetector } from './use-detector.ts'
import { useHeartbeat } from './use-heartbeat.ts'
import { useWakeLock } from './wake-lock.ts'

interface KioskPageProps {
  kiosk: Kiosk
  onChange: (kiosk: Kiosk) => void
  /** The server no longer knows this kiosk. */
  onDisowned: () => void
}

/** A chosen direction is one person's: after this time it is forgotten. */
const CHOICE_MS = 20_000
/** After a fault the camera is watched again. */
const RESTART_MS = 5000

const nobody: Phase = { kind: 'waiting', sight: 'nobody', face: undefined }

/** The whole screen of a kiosk. */
export function KioskPage({ kiosk, onChange, onDisowned }: KioskPageProps) {
  const { t } = useTranslation()
  const { video, state: camera } = useCamera()
  const [phase, setPhase] = useState<Phase>(nobody)
  const { detect, hasFailed: detectorFailed } = useDetector()
  const [hasStopped, setStopped] = useState(false)
  const [isReached, setReached] = useState(navigator.onLine)
  const [waiting, setWaiting] = useState(0)
  const [isKept, setKept] = useState(true)
  const [chosen, setChosen] = useState<Direction>('AUTO')
  // While somebody types, or reads what came of it, nobody else is taken.
  const [byPin, setByPin] = useState<'no' | 'typing' | 'answered'>('no')
  const queue = useQueue(kiosk, setWaiting)
  const direction = useLatest<Direction>(kiosk.direction === 'AUTO' ? chosen : kiosk.direction)
  const wasReached = useLatest(isReached)
  const isIdle = useLatest(phase.kind === 'waiting' && phase.sight === 'nobody' && byPin === 'no')
  useWakeLock()

  useEffect(() => {
    // What waits here must not be cleared away when the tablet is short of room.
    navigator.storage?.persist().then(setKept, () => setKept(false))
  }, [])

  useEffect(() => {
    if (!detect || camera !== 'live' || byPin !== 'no' || hasStopped) return
    const ending = new AbortController()
    const done = attend({
      kiosk,
      video: video.current!,
      detect,
      queue,
      direction: () => direction.current,
      show: (next) => !ending.signal.aborted && setPhase(next),
      isReached: () => wasReached.current,
      reached: setReached,
      disowned: onDisowned,
      signal: ending.signal,
    })
    done.catch(() => !ending.signal.aborted && setStopped(true))
    return () => {
      ending.abort()
      // No answer, and no name, stays when nobody takes it away.
      setPhase(nobody)
    }
  }, [detect, camera, kiosk, queue, byPin, hasStopped])

  useEffect(() => {
    if (!hasStopped) return
    const timer = setTimeout(() => setStopped(false), RESTART_MS)
    return () => clearTimeout(timer)
  }, [hasStopped])

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
      {result && (
        <ResultPanel kiosk={kiosk} result={result} offersPin={kiosk.pinAllowed === true && isReached} />
      )}
      <div className="absolute inset-x-0 bottom-0 flex flex-col items-center gap-5 p-6 pb-8">
        <NotMe result={result} disown={(punchId) => disown(kiosk, punchId)} />
        {!result && (
          <>
            <Hint {...{ phase, camera, detectorFailed, hasStopped, isLoading: !detect }} />
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

function useQueue(kiosk: Kiosk, onWaiting: (count: number) => void): Queue {
  const [queue] = useState(() => openQueue(kiosk, () => tell()))
  const tell = () => queue.waiting().then(onWaiting)
  useEffect(() => {
    tell()
  }, [queue])
  return queue
}
