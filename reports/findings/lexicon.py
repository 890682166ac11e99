"""The words for findings, organs and devices, as patterns of `phrases.expand`: data, no logic.

Which thing belongs to which label follows the phrase lists of two labelers (Irvin et al., AAAI 2019; Peng et
al., AMIA 2018) and what the human gold counts; where they differ, deploy/docs/findings.md says what holds here.
"""

from __future__ import annotations

from typing import Final

# concept of labels.LABELS_OF, patterns
FINDINGS: Final = (
    (
        "atelectasis",
        """
            atelectasis/atelectases/atelectatic/atelectesis/atelectais/atelectasia/atelectactic/atelectasi/atelactic
        """,
    ),
    (
        "atelectasis",
        """
            collapse of /the /right/left lung/lobe, /complete/partial/lobar/lung collapse/collapsed, collapsed
            lung/lobe
        """,
    ),
    (
        "cardiomegaly",
        """
            cardiomegaly/cardiomegally/cardiomegalia/megalocardia, cardiac/heart enlargement, enlarged heart,
            cardiac/heart size enlargement, increase in heart/cardiac size, enlarging heart
        """,
    ),
    (
        "mediastinum",
        """
            mediastinal widening/enlargement, widened mediastinum, mediastinum widening, cardiomediastinal enlargement
        """,
    ),
    (
        "effusion",
        """
            /pleural effusion/effusions, pleural/fissural/intrapleural/loculated fluid, pleural fusion/fusions, fluid
            in/within/along/tracking /in/within/along /the /right/left /minor/major/horizontal/oblique/interlobar
            fissure/fissures, hydrothorax/hydrothoraces/hemothorax/haemothorax/chylothorax/empyema, pleural and
            pericardial effusion/effusions, pleuraleffusion, fluid in /the /right/left pleural space/spaces/cavity,
            fluid collection
        """,
    ),
    (
        "infiltrate",
        """
            /pulmonary/lung/airspace/parenchymal /nodular/infectious/inflammatory
            infiltrate/infiltrates/infiltration/infiltrations/infiltrative
        """,
    ),
    (
        "opacity",
        """
            opacity/opacities/opacification/opacifications/opacified, airspace disease/process, air space
            disease/process, increased density/densities, interstitial
            markings/marking/pattern/thickening/changes/disease, reticulation/reticulations, reticular
            markings/pattern, peribronchial thickening, bronchial /wall thickening, airspace density/densities,
            decreased translucency/translucencies, interstitial lung disease, parenchymal disease, lung scarring,
            parenchymal scarring, density/densities
        """,
    ),
    (
        "mass",
        """
            /lung/pulmonary/hilar/mediastinal/paratracheal mass/masses, mass like lesion, masslike lesion
        """,
    ),
    (
        "nodule",
        """
            /pulmonary/lung nodule/nodules/nodularity/micronodule/micronodules, nodular focus/foci/lesion/lesions
        """,
    ),
    (
        "lesion",
        """
            lesion/lesions/neoplasm/neoplasms/neoplastic/tumor/tumors/tumour/carcinoma/carcinomas/malignancy/malignancies/malignant/metastasis
        """,
    ),
    (
        "lesion",
        """
            masslike opacity/density/densities/area, mass like opacity/density/densities/area, nodular
            opacity/opacities/opacification/density/densities/shadow/structure/area
        """,
    ),
    (
        "lesion",
        "metastases/metastatic/cavitary/cavitation/cavity/cavitating, lung/bronchogenic/pulmonary cancer/cancers",
    ),
    (
        "pneumonia",
        """
            pneumonia/pneumonias/bronchopneumonia/bronchopneumonias/pneumonic/pnuemonia/pna
        """,
    ),
    (
        "infection",
        """
            /pulmonary/lung/chest/respiratory/atypical/acute infection/infections, infectious
            process/processes/etiology
        """,
    ),
    ("pneumothorax", "pneumothorax/pneumothoraces/pneumothoraxes/pneumothoracies/pneumothroax/pneumothoracis/ptx"),
    ("hydropneumothorax", "hydropneumothorax/hemopneumothorax"),
    ("consolidation", "consolidation/consolidations/consolidative/consolidated/consolidate/consolidating"),
    ("edema", "/pulmonary/interstitial/alveolar edema, edematous"),
    ("emphysema", "emphysema/emphysematous/emphysemic"),
    ("fibrosis", "fibrosis/fibrotic, pulmonary fibrosis"),
    (
        "pleural_thickening",
        """
            pleural /based/parenchymal/apical thickening, pleuroparenchymal thickening, pleural thickenings, thickened
            /right/left/apical pleura, pleura is/are/appears /mildly/slightly thickened, fissural thickening,
            thickening of/in/along /the /right/left /minor/major/horizontal/oblique/interlobar fissure/fissures,
            minor/major/horizontal/oblique/interlobar fissure thickening, apical/biapical /cap thickening, pleural
            and parenchymal thickening, thickened fissure/fissures, pleural thickness, /apical pleural
            cap/caps/capping, apical capping/cap/caps, apical pleural thickening, pleural based thickening, thickening
            of /the pleura, pleural reaction, thickening of pleura
        """,
    ),
    (
        "pleural_other",
        """
            fibrothorax, pleural scar/scarring/plaque/plaques/calcification/calcifications, pleural parenchymal
            scar/scarring, pleuroparenchymal/pleuropericardial scar/scarring, calcified pleural plaque/plaques
        """,
    ),
    ("hernia", "hernia/hernias/herniation"),
    ("fracture", "fracture/fractures/fractured/fx/fxs"),
    (
        "device",
        """
            pacer/pacers/pacemaker/pacemakers/pacing/picc/catheter/catheters/cannula/icd/defibrillator/aicd/port/mediport/portacath,
            /median sternal/sternotomy wire/wires/sutures/hardware,
            ett/ngt/ogt/dobhoff/tracheostomy/lvad/iabp/recorder/generator/generators/introducer/sheath, ivc/caval/cava
            filter, balloon pump, heart/cardiac/mitral/aortic/tricuspid/bioprosthetic/mechanical valve,
            mitral/aortic/valve/valvular prosthesis, coil/coils/drain/drains, support
            apparatus/equipment/structures/line/lines, lines and tubes/catheters, swan ganz, fixation
            plate/rod/rods/plates, valve replacement, prosthetic valve/valves, tube/tubes/tubing,
            hardware/stent/stents/stimulator, venous line, central line/lines, picc line, support devices/device,
            chest tube/tubes, pigtail/shunt/leads/electrodes, screw/screws/prosthesis/arthroplasty, port a cath
        """,
    ),
    ("thickening", "thickening"),
    ("scar", "/chronic /linear scar/scars/scarring/cicatrix/cicatrices"),
    (
        "other",
        """
            granuloma/granulomas/granulomata/granulomatous, calcified/calcification/calcifications/calcific,
            degenerative/scoliosis/kyphosis, tortuous/tortuosity/ectatic/ectasia/atherosclerotic/atherosclerosis,
            eventration/hyperinflation,
            hyperinflated/hyperexpanded/hyperexpansion/hyperaerated/osteophyte/osteophytes/osteophytosis/spondylosis/arthritic/arthritis,
            blunting/blunted/congestion/congested/chf, heart failure,
            copd/deformity/deformities/elevated/elevation/hypoinflated/hypoinflation, low lung volumes/volume,
            /calcified lymph node/nodes, adenopathy/lymphadenopathy/pneumoperitoneum/pneumomediastinum,
            subluxation/dislocation/osteopenia/osteopenic/demineralization/bronchiectasis/bronchitis/bronchiectatic/compression,
            clip/clips/sternotomy/mastectomy/cholecystectomy/thickened/aneurysm/contusion/obstructive/crowding/cephalization/bulla/bullae/bullous,
            granulomatous/tuberculosis/tuberculous/old/prior infection/infections, surgical /changes,
            postsurgical/postoperative/cuffing/prominence/prominent/lordosis/lucency/lucencies/azygos/spurring/dish
        """,
    ),
)

# Near misses: they are words, but not for the finding that they hold.
NO_FINDINGS: Final = """
    pericardial effusion/effusions, joint effusion/effusions, mass effect, fat pad, nipple shadow/shadows, soft tissue
    density/densities, bone/osseous/bony density/densities/lesion/lesions, air fluid level/levels, subcutaneous
    emphysema, bone/bony mass, cardiac mass, body mass, soft tissue edema, peripheral edema, lower extremity edema,
    fluid level/levels, apical lordotic, airway/airways collapse, vertebral/vertebra/endplate/tracheal /body collapse,
    collapse of /a/the vertebral/vertebra, collapse deformity/deformities, lung base/bases/markings, disc disease,
    hardware/lead/device failure/failures/complication/complications/loosening/malfunction/malposition,
    thyroid/breast/abdominal/paraspinal mass, cystic fibrosis, behind/overlying/over/near the /heart/cardiac
    /silhouette/shadow, line/lines
"""

# whose shape a report describes: (subject, patterns)
SUBJECTS: Final = (
    (
        "heart",
        """
            heart /size/sizes/shadow/silhouette/contour/contours, cardiac
            /size/silhouette/shadow/contour/contours/silhouettes, cardiac and mediastinal silhouette, size of /the
            heart, size of the cardiac silhouette, pericardial silhouette, cardiothoracic ratio, cardio thoracic
            ratio, ctr
        """,
    ),
    (
        "both",
        """
            cardiomediastinal /silhouette/silhouettes/contour/contours/size/structures/shadow, cardiomediastinum,
            cardio mediastinal silhouette/contour/contours/contours, cardiomediastinal silhouette and contour
        """,
    ),
    (
        "mediastinum",
        """
            mediastinum, mediastinal /silhouette/contour/contours/width/structures/shadow/configuration/size
        """,
    ),
    (
        "elsewhere",
        """
            lung/lungs/hilum/hila/hilar/aorta/aortic/spine/bones/osseous/bony/skeletal/vasculature/vascularity/vessels/diaphragm/diaphragms/hemidiaphragm/hemidiaphragms/ribs/trachea/pleura/thorax/artery/arteries/atrium/ventricle/nodes/vertebral/structures/thyroid/interstitium/markings
        """,
    ),
)

# what is said of a subject: (predicate, patterns)
PREDICATES: Final = (
    (
        "enlarged",
        """
            enlarged/enlargement/enlarging/increase, increase in, has/have/is/are increased/enlarged,
            large/wide/widened/widening/cardiomegalic/increased/globular/dilated/bigger/big, /slightly/mildly above /the
            /upper /limit/limits /of normal /limits/size/range, greater than normal
        """,
    ),
    (
        "borderline",
        """
            borderline /in /size/enlarged/enlargement/large, borderline/normal to/or /mildly/slightly/minimally
            enlarged, upper limits /of normal to/or /mildly/slightly/minimally enlarged, top normal to/or
            /mildly/slightly enlarged, prominent/prominence, normal to borderline /enlarged
        """,
    ),
    (
        "normal",
        """
            normal/unremarkable/intact/wnl, within normal limits/limit/range/size/contour, normal in size, normal
            limits, not enlarged, not /significantly/grossly/overtly enlarged, normal limits for size, upper
            limit/limits /of normal, upper normal /in /size, top /limits /of normal /in /size, high normal, upper
            range of normal
        """,
    ),
    (
        "now normal",
        """
            /is/are now normal/unremarkable /in /size, /is/are now no longer enlarged/widened,
            /is/are now not enlarged/widened, /is/are now within normal limits, normal/unremarkable now/today
        """,
    ),
    ("now enlarged", "enlarged/widened now/today, today enlarged/widened"),
)

# Said of the whole film: nothing is wrong.
NORMALITY: Final = """
    no /evidence /of /radiographic acute/active/significant /radiographic
    /cardiopulmonary/cardiac/pulmonary/intrathoracic/chest/thoracic/cardiothoracic /disease
    disease/process/processes/abnormality/abnormalities/finding/findings/change/changes/identified/pathology, no acute
    or active /cardiopulmonary/cardiac/pulmonary disease, no acute/active disease/abnormality, no radiographic
    evidence of /acute/active /cardiopulmonary/intrathoracic/pulmonary disease/process/abnormality, no
    /significant/acute abnormality/abnormalities, normal chest /radiograph/exam/examination/xxxx, normal
    examination/exam/study/film/radiograph/radiographs, negative/unremarkable
    chest/study/exam/examination/radiograph/radiographs, negative for /any acute/active
    /cardiopulmonary/intrathoracic/pulmonary disease/process/abnormality, clear lungs, /both lungs are /grossly clear,
    lungs /: clear, lungs appear /grossly clear, lungs are /well expanded and clear, lungs remain clear
"""

# What a patient has or has not: "pneumonia: no fever" says nothing of the film.
COMPLAINTS: Final = """
    fever/fevers/febrile/cough/coughing/dyspnea/pain/trauma/injury/symptom/symptoms/complaint/complaints/leukocytosis/leucocytosis/chills/sputum/hypoxia/hypoxemia/wheeze/wheezing/distress/hemoptysis/tachypnea/sepsis/smoker/smoking/sob,
    shortness of breath, clinical sign/signs/symptom/symptoms, white count
"""

# Long words that are written in many ways, right and wrong: (how they begin, the word that they stand for).
STEMS: Final = (
    ("atelect", "atelectasis"),
    ("cardiomeg", "cardiomegaly"),
    ("consolid", "consolidation"),
    ("emphys", "emphysema"),
    ("effusi", "effusion"),
    ("infiltra", "infiltrate"),
    ("pneumothor", "pneumothorax"),
    ("hydropneumo", "hydropneumothorax"),
    ("fractur", "fracture"),
    ("opacif", "opacification"),
)

# Words of languages that write "Pneumothorax", "edema" or "fracture" as English does. A sentence in one of them is not
# read, since its negation would not be understood. One of these is enough.
_FOREIGN: Final = """
    kein keine keinen keiner keinem keinerlei ohne nicht beidseits rechts rechte zeigt sans aucun aucune avec droit
    droite sin sem não há sinais senza nella segni né geen zonder ingen inget utan uden och ikke nie bez brak yok yoktur
    izlenmedi
"""
# Also names and abbreviations in English ("PAs", "DES", "Dr. Das"): it takes two of them, or one and an accent. Left
# out are those that a chest film is dictated with: "ET tube", "Ao", "est.", "com", "con", "em", "ni".
_PERHAPS_FOREIGN: Final = """
    und der das mit bei links linke ist sind im pas une aux gauche les dans sur del des los las hay una uma della nel
    een het inga og ej se
"""
FOREIGN: Final = frozenset(_FOREIGN.split())
PERHAPS_FOREIGN: Final = frozenset(_PERHAPS_FOREIGN.split())
FOREIGN_PAIRS: Final = frozenset({("pas", "de"), ("pas", "d"), ("no", "hay"), ("no", "se")})
TITLES: Final = frozenset({"dr", "drs", "doctor", "prof", "professor", "mr", "mrs", "ms", "md", "nurse", "resident"})
