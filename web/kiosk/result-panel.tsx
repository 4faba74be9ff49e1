import { type ReactNode, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useErrorText } from '../shared/error-text.ts'
import { clockTime } from '../shared/i18n.ts'
import { useObjectUrl } from '../shared/object-url.ts'
import type { Result } from './attendant.ts'
import { fetchAvatar } from './check.ts'
import { Glyph } from './glyph.tsx'
import type { Kiosk } from './pairing.ts'

/** Colour and symbol say the same: neither is ever alone. */
const looks = {
  good: { symbol: '✓', background: 'bg-[#0d6b3a]' },
  known: { symbol: '✓', background: 'bg-[#1f4fa8]' },
  saved: { symbol: <Glyph name="clock" />, background: 'bg-[#1f4fa8]' },
  again: { symbol: <Glyph name="again" />, background: 'bg-[#7a4a00]' },
  bad: { symbol: '✕', background: 'bg-[#a3211a]' },
}

interface ResultPanelProps {
  kiosk: Kiosk
  result: Result
  /** Whether an employee code with its PIN would do. */
  offersPin: boolean
}

/** The answer, in one glance and from two metres. */
export function ResultPanel({ kiosk, result, offersPin }: ResultPanelProps) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  if (result.kind === 'punched') return <Punched kiosk={kiosk} result={result} />
  if (result.kind === 'saved')
    return (
      <Panel look="saved" title={t('kiosk.saved')}>
        {t('kiosk.savedHow')}
      </Panel>
    )
  if (result.kind === 'again')
    return (
      <Panel look="again" title={t('kiosk.again')}>
        {result.reasons.map((reason) => t(`advice.${reason}` as 'advice.no_face')).join('. ')}
      </Panel>
    )
  if (result.kind === 'refused')
    return (
      <Panel look="bad" title={t('kiosk.notRecognised')}>
        {t(`refusal.${result.code}` as 'refusal.not_identified')}
        {offersPin && <span className="mt-4 block text-[0.7em]">{t('refusal.orPin')}</span>}
      </Panel>
    )
  return (
    <Panel look="bad" title={t('kiosk.failed')}>
      {errorText(result.error)}
    </Panel>
  )
}

interface PunchedProps {
  kiosk: Kiosk
  result: Extract<Result, { kind: 'punched' }>
}

function Punched({ kiosk, result: { checked, picture } }: PunchedProps) {
  const { t } = useTranslation()
  const { employee_name, attendance_type = 'IN', timestamp, duplicate, decision_id } = checked
  // The face just taken until the avatar is here, and where none comes.
  const url = useObjectUrl(useAvatar(kiosk, decision_id) ?? picture)
  const time = timestamp ? clockTime(timestamp, kiosk.timeZone ?? undefined) : ''
  return (
    <Panel look={duplicate ? 'known' : 'good'} title={employee_name ?? ''} picture={url}>
      {duplicate ? (
        t(`already.${attendance_type}`, { time })
      ) : (
        <span className="inline-flex flex-wrap items-baseline justify-center gap-x-8">
          <span>
            <span aria-hidden="true">{attendance_type === 'IN' ? '→ ' : '← '}</span>
            {t(`kioskDirection.${attendance_type}`)}
          </span>
          <span className="tabular-nums">{time}</span>
        </span>
      )}
    </Panel>
  )
}

/** Of whom a check recognised: by it they see at once whether it took them for somebody else. */
function useAvatar(kiosk: Kiosk, decisionId: number): Blob | undefined {
  const [avatar, setAvatar] = useState<Blob>()
  useEffect(() => {
    let ended = false
    setAvatar(undefined)
    fetchAvatar(kiosk, decisionId).then(
      (blob) => !ended && setAvatar(blob),
      () => {},
    )
    return () => {
      ended = true
    }
  }, [decisionId])
  return avatar
}

interface PanelProps {
  look: keyof typeof looks
  title: string
  /** Of whoever stands there, or was recognised. */
  picture?: string
  children: ReactNode
}

function Panel({ look, title, picture, children }: PanelProps) {
  const { symbol, background } = looks[look]
  return (
    <div
      role="alert"
      data-look={look}
      className={`absolute inset-0 flex flex-col items-center justify-center gap-6 p-6 text-center ${background}`}
    >
      <div className="relative">
        {picture && (
          <img
            src={picture}
            alt=""
            className="size-[min(38vw,30vh)] rounded-full border-8 border-white object-cover"
          />
        )}
        <span
          aria-hidden="true"
          className={`flex items-center justify-center rounded-full bg-white font-bold text-black leading-none ${picture ? '-right-2 -bottom-2 absolute size-[min(13vw,11vh)] text-[min(9vw,8vh)]' : 'size-[min(38vw,30vh)] text-[min(24vw,20vh)]'}`}
        >
          {symbol}
        </span>
      </div>
      <p className="text-balance font-bold text-[clamp(2.75rem,8vw,7rem)] leading-tight">{title}</p>
      <p className="max-w-5xl text-balance font-semibold text-[clamp(2rem,5.5vw,4.5rem)] leading-tight">
        {children}
      </p>
    </div>
  )
}

const NOT_ME_MS = 10_000

/** For ten seconds whoever was recognised can say that it was not them. */
export function NotMe({
  result,
  disown,
}: {
  result: Result | undefined
  disown: (punchId: number) => Promise<void>
}) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const [punch, setPunch] = useState<{ id: number; name: string }>()
  const [said, setSaid] = useState<string>()
  useEffect(() => {
    if (!result) return
    // Whoever is answered next sees no name but their own.
    if (result.kind !== 'punched') return setPunch(undefined)
    const { attendance_id, employee_name, duplicate } = result.checked
    // Whoever typed their PIN was taken for nobody else.
    if (attendance_id === undefined || duplicate || !result.picture) return setPunch(undefined)
    setPunch({ id: attendance_id, name: employee_name ?? '' })
    setSaid(undefined)
  }, [result])
  // Longer than the answer is shown.
  useEffect(() => {
    const timer = setTimeout(() => setPunch(undefined), NOT_ME_MS)
    return () => clearTimeout(timer)
  }, [punch])
  if (!punch) return null
  const sayNo = async () => {
    try {
      await disown(punch.id)
      setSaid(t('kiosk.disowned'))
    } catch (error) {
      setSaid(errorText(error))
    }
  }
  return said ? (
    <p role="status" className="rounded-2xl bg-white px-6 py-4 font-semibold text-black text-xl">
      {said}
    </p>
  ) : (
    <button
      type="button"
      onClick={sayNo}
      className="min-h-16 rounded-2xl border-2 border-white bg-black/70 px-8 font-semibold text-2xl"
    >
      {t('kiosk.notMe', { name: punch.name })}
    </button>
  )
}
