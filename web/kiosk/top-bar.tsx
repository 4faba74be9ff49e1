import { type ReactNode, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { chooseLanguage, clockTime, languageNames, languages, longDate } from '../shared/i18n.ts'
import { Glyph } from './glyph.tsx'
import type { Kiosk } from './pairing.ts'

interface TopBarProps {
  kiosk: Kiosk
  isReached: boolean
  waiting: number
  isKept: boolean
}

export function TopBar({ kiosk, isReached, waiting, isKept }: TopBarProps) {
  const { t } = useTranslation()
  const now = useNow()
  const zone = kiosk.timeZone ?? undefined
  return (
    <header className="absolute inset-x-0 top-0 flex items-start justify-between gap-4 p-5 sm:p-7">
      <div className="min-w-0">
        <p className="truncate font-semibold text-xl sm:text-3xl">{kiosk.name}</p>
        <p className="truncate text-white/85 sm:text-xl">{kiosk.siteName}</p>
        <div role="status" className="mt-3 flex flex-col items-start gap-2">
          {!isReached && <Note symbol="offline">{t('kiosk.offline')}</Note>}
          {waiting > 0 && <Note symbol="clock">{t('kiosk.waiting', { count: waiting })}</Note>}
          {!isKept && (
            // Of use to whoever looks after the tablet, and to nobody else all day.
            <span
              role="img"
              title={t('kiosk.notPersistent')}
              aria-label={t('kiosk.notPersistent')}
              className="flex size-8 items-center justify-center rounded-full border-2 border-white/70 font-semibold text-white/90"
            >
              !
            </span>
          )}
        </div>
      </div>
      <div className="text-right">
        <p className="font-semibold text-5xl tabular-nums sm:text-7xl">{clockTime(now, zone)}</p>
        <p className="text-white/85 sm:text-xl">{longDate(now, zone)}</p>
        {/* Off line the other language's texts may never have come. */}
        {isReached && <LanguageButton />}
      </div>
    </header>
  )
}

/** Changes to the other language, for good: whoever comes next finds theirs named in it. */
function LanguageButton() {
  const { i18n } = useTranslation()
  const other = languages.find((language) => language !== i18n.language)!
  return (
    <button
      type="button"
      lang={other}
      onClick={() => chooseLanguage(other).catch(() => {})}
      className="mt-3 min-h-11 rounded-full border-2 border-white/60 bg-black/60 px-4 font-semibold sm:text-lg"
    >
      {languageNames[other]}
    </button>
  )
}

function Note({ symbol, children }: { symbol: 'offline' | 'clock'; children: ReactNode }) {
  return (
    <span className="inline-flex items-center gap-2 rounded-full bg-amber-300 px-4 py-1.5 font-semibold text-black sm:text-lg">
      <Glyph name={symbol} />
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
