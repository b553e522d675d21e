import './teach.css';
import { trainerOf } from '../../training/trainer.js';
import type { PartProps } from '../parts.js';
import { AttemptsFigure } from './attempts-figure.js';
import { CurvesFigure } from './curves-figure.js';
import { Enrolment } from './enrolment.js';
import { TrainingControls } from './training-controls.js';

export default function Teach({ session }: PartProps) {
  const trainer = trainerOf(session);
  const phase = trainer.phase.value;
  if (phase === 'idle' || phase === 'preparing') return <Enrolment session={session} trainer={trainer} />;
  return (
    <>
      <TrainingControls session={session} trainer={trainer} />
      <CurvesFigure report={trainer.report.value} />
      <AttemptsFigure report={trainer.report.value} />
    </>
  );
}
