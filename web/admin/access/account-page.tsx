import { useTranslation } from 'react-i18next'
import { Facts } from '../../shared/facts.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Card, Page } from '../page.tsx'
import { useMe } from '../session.ts'
import { PasswordCard } from './password-card.tsx'
import { SecondFactorCard } from './second-factor-card.tsx'
import { SessionsCard } from './sessions-card.tsx'

/** What everybody may do about their own way in. */
export function AccountPage() {
  const { t } = useTranslation()
  const { me } = useMe()
  return (
    <Page title={t('account.title')}>
      {me && (
        <Card>
          <Facts
            facts={[
              [t('signIn.username'), me.username],
              [t('access.name'), me.name],
              [
                t('access.role'),
                `${t(`roles.${me.role}`)}${me.departments ? `: ${me.departments.join(', ')}` : ''}`,
              ],
              [t('account.since'), dateTime(me.created_at)],
            ]}
          />
        </Card>
      )}
      <div className="grid items-start gap-5 xl:grid-cols-2">
        <PasswordCard />
        {me && <SecondFactorCard isOn={me.totp_enabled} />}
      </div>
      <SessionsCard />
    </Page>
  )
}
